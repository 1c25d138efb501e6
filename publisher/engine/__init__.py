"""WHERE work is done: in threads of this process."""
