"""The page for people at `/`: a playground without a build step, in static files."""
