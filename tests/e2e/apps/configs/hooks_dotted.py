workers = 1
when_ready = "service.hooks.when_ready"
on_exit = "service.hooks.on_exit"
