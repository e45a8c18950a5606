"""The workflows decide: each module reads like the conversation that it conducts, and is pure."""
