"""Whether `soundgate edit` leaves finished songs alone, and finds in recording sessions what is to be cut."""
