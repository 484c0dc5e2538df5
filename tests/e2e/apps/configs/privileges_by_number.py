import pwd

user = pwd.getpwnam("nobody").pw_uid
group = 65534
workers = 1
raw_env = ["HOME=/nonexistent"]
