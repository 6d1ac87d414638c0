"""Small text forms shared by the messages of a sweep."""


def duration(seconds: float) -> str:
    """A time span such as `3 min 20 s` or `2 h 05 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def age(seconds: float) -> str:
    """How long ago something was, in its largest unit: `5 min`, `3 h`, `12 days`."""
    minutes = max(0, round(seconds)) // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
