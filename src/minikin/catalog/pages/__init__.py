"""Pages as data, their two formats, and the site."""
