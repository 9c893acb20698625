"""What every process stands on: settings, errors, files, stages, work folders, workers, threads."""
