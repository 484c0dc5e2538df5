import os

reload = os.getenv("ENVIRONMENT", "development") == "development"
preload_app = not reload
workers = 1
