"""Many machines: HTTP and engines as two deployments of Ray Serve. Needs the extra `ray`."""
