"""Lab 3 on mel spectrograms: a generator steered by content and a target style, and its critic."""
