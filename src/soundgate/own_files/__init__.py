"""Commands over files and folders of the user's own: where each output goes, and which are finished."""
