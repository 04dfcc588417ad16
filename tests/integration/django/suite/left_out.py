"""Django's tests that are not run against our backend, each with its reason.

A test counts as run when one of the passes runs it. The reasons of a pass are for that pass alone.
"""

THE_DUMMYS_MEMORY = "it changes an object in the DummyBackend's list, and expects the storage to have changed"
NO_RESULTS = "it asserts that ImmediateBackend cannot give results; ours can"
NO_DEFER = "it asserts that ImmediateBackend cannot defer; ours can"
IN_PLACE_ONLY = "a worker turns it into a failed job: it is no Ctrl-C of the caller's; the pass `in_place` runs it"
ABSTRACT = "it asserts that a backend without `enqueue` cannot be made; a subclass of ours inherits it"
HAS_PRIORITY = "it asserts that a backend without priorities refuses them; ours has them"
FRONT_END = "it is about django.tasks.Task, and the backport has not got it"

LEFT_OUT: dict[str, dict[str, str]] = {
    "stored": {
        "DummyBackendTestCase.test_refresh_result": THE_DUMMYS_MEMORY,
        "DummyBackendTestCase.test_refresh_result_async": THE_DUMMYS_MEMORY,
        "DummyBackendTestCase.test_clear": "`clear` is the DummyBackend's own",
    },
    "worked": {
        "ImmediateBackendTestCase.test_cannot_get_result": NO_RESULTS,
        "ImmediateBackendTestCase.test_cannot_refresh_result": NO_RESULTS,
        "ImmediateBackendTestCase.test_cannot_pass_run_after": NO_DEFER,
        "ImmediateBackendTestCase.test_throws_keyboard_interrupt": IN_PLACE_ONLY,
    },
    "in_place": {
        "ImmediateBackendTestCase.test_cannot_get_result": NO_RESULTS,
        "ImmediateBackendTestCase.test_cannot_refresh_result": NO_RESULTS,
        "ImmediateBackendTestCase.test_cannot_pass_run_after": NO_DEFER,
    },
    "custom": {
        "CustomBackendTestCase.test_no_enqueue": ABSTRACT,
        "CustomBackendTestCase.test_backend_does_not_support_priority": HAS_PRIORITY,
    },
}

NOT_IN_THE_BACKPORT: dict[str, str] = {
    "TaskTestCase.test_pickle_task": FRONT_END,
    "TaskTestCase.test_pickle_task_result": FRONT_END,
    "TaskTestCase.test_unpickle_arbitrary_string": FRONT_END,
    "TaskTestCase.test_unpickle_non_task_object": FRONT_END,
    "TaskTestCase.test_run_after_in_decorator": FRONT_END,
}
