disposed = False


def dispose():
    global disposed
    disposed = True
