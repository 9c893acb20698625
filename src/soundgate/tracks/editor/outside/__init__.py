"""What a judge says of the vocoder's sound that nothing here trained."""
