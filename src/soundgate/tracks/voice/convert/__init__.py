"""`soundgate convert`: recordings of the user's own said in another voice, by any method, in bounded memory."""
