"""Rules that tests declare: in no registry afterwards, so that no other test meets them."""

from unittest import mock

from gradstep.form import rule as module


def rule(*args, **options):
    """``@rule`` without an entry in the registry."""

    def declare(update):
        with mock.patch.dict(module._REGISTRY):
            return module.rule(*args, **options)(update)

    return declare
