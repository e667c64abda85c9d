"""kopf as it is set up: a watcher that never writes into objects."""

import kopf

from rlhf_operator import names
from rlhf_operator.application import Application
from rlhf_operator.handlers import configure, register
from rlhf_operator.settings import Settings


def test_kopf_never_takes_our_finalizer_off() -> None:
    settings = kopf.OperatorSettings()
    configure(settings, ())
    assert settings.persistence.finalizer != names.FINALIZER
    assert settings.posting.enabled is False
    assert settings.peering.standalone is True


def test_kopf_scans_the_cluster_only_where_it_has_rights_there() -> None:
    """Without them it would ask nine times in a minute before it watches anything."""
    for namespaces in ((), ("team-a",)):
        settings = kopf.OperatorSettings()
        configure(settings, namespaces)
        assert settings.scanning.disabled is bool(namespaces)


def test_only_events_are_watched_so_that_kopf_has_nothing_to_persist() -> None:
    registry = kopf.OperatorRegistry()
    register(Application(Settings()), registry)
    assert len(registry._watching.get_all_handlers()) == 3
    assert registry._changing.get_all_handlers() == []
    assert registry._spawning.get_all_handlers() == []
    assert registry._indexing.get_all_handlers() == []
