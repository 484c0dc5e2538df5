from service.app import app


def create_app(environment):
    assert environment == "production"
    return app
