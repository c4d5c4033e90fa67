"""Short videos: popular or not, by QLoRA fine-tuning of TimeSformer and SmolVLM2 on their frames."""
