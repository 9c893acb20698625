"""Phase 2: what to edit. Labels of beats imitated, then improved by PPO on what the frozen reconstruction makes."""
