def when_ready(server):
    server.log.info("ready, by a dotted name")


def on_exit(server):
    server.log.info("the end, by a dotted name")
