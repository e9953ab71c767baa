"""The nipype workflows, built from a plan."""
