"""What a judge of notes that nothing here trained says of transfers."""
