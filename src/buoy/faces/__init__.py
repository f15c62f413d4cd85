"""What a person or a program touches: everything is wired together here, and nobody imports it."""
