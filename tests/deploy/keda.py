"""What KEDA takes of an object, and how it asks Redis, after its documentation (2.x)."""

# What KEDA's two kinds have that is used here, after its documentation (2.x); nothing else is let through.
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


_REFERENCE = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}},
    "additionalProperties": False,
}


KEDA = {
    "TriggerAuthentication": {
        "type": "object",
        "required": ["secretTargetRef"],
        "additionalProperties": False,
        "properties": {
            "secretTargetRef": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["parameter", "name", "key"],
                    "additionalProperties": False,
                    "properties": {name: {"type": "string"} for name in ("parameter", "name", "key")},
                },
            }
        },
    },
    "ScaledObject": {
        "type": "object",
        "required": ["scaleTargetRef", "triggers"],
        "additionalProperties": False,
        "properties": {
            "scaleTargetRef": _REFERENCE,
            "minReplicaCount": {"type": "integer", "minimum": 0},
            "maxReplicaCount": {"type": "integer", "minimum": 1},
            "advanced": {"type": "object"},
            "triggers": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["type", "metadata"],
                    "additionalProperties": False,
                    "properties": {"type": {"const": "redis"}, "metadata": _TEXTS, "authenticationRef": _REFERENCE},
                },
            },
        },
    },
}


# How KEDA asks for the length of a list: a script, as it takes other types too.
KEDA_SCRIPT = """
local name = KEYS[1]
local lengths = {zset = 'zcard', set = 'scard', list = 'llen', hash = 'hlen', none = 'llen'}
return redis.call(lengths[redis.call('type', name).ok], name)
"""
