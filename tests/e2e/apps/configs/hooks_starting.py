import os

workers = 1
timeout = 45


def on_starting(server):
    server.cfg.set("timeout", 90)
    os.makedirs("run", exist_ok=True)
    print("starting on", server.address[0], flush=True)


def on_reload(server):
    server.log.info("reloading")


def on_exit(server):
    server.log.info("goodbye")
