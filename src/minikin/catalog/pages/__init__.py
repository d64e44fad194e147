"""Pages as data, their two forms, and the site that they make."""
