class LazySettings:
    DEBUG: bool
    USE_TZ: bool
    TASKS: object
    TYPEDGATOR: object

settings: LazySettings
