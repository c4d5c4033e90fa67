"""The what-if page: a form over a served model. The forecast, how it moves with one input, and what drives it."""
