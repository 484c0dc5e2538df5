import glob

reload = True
reload_extra_files = sorted(glob.glob("service/*.py"))
workers = 1
timeout = 0
loglevel = "debug"
spew = False
check_config = False
