workers = 1
loglevel = "warn"
errorlog = "-"
