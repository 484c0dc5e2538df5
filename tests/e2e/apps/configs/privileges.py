user = "www-data"
group = "www-data"
workers = 1
initgroups = True
umask = 0o022
errorlog = "-"
