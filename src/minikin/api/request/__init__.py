"""From a decoded JSON body to a frozen request, by rules that are data."""
