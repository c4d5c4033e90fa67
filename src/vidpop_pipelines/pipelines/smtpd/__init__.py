"""SMTPD (arXiv 2503.04446): 30-day popularity curves of YouTube videos."""
