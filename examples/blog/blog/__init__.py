"""A blog whose followers get a mail for each post, and whose author does not wait for that."""
