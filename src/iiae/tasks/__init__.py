"""What a trained model is used for: model and data in, named results out."""
