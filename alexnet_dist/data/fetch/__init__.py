"""Gets data sets: `alexnet-dist data fetch`. Each file here is one of them, or what several of them share."""
