"""Does the health monitor see what it is there to see? Faults planted in trainings, and trainings without any."""
