"""Jobs on clusters: one task per participant, run by an existing scheduler."""
