"""What a judge says of sterilised voices that nothing here trained."""
