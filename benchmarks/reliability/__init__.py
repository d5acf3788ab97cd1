"""What can go wrong beside a camera, done on purpose to the real command. tests/ runs the same scenarios, shortened."""
