# Types of facts. A spec is a list of [path, kind]; what is missing or of another kind is a fault, never an undefined rule.
package aiplatform.lib.shape

words := {
	"environment": ["dev", "staging", "production"],
	"verdict": ["pass", "fail"],
	"purpose": ["train", "batch", "serve", "dev"],
	"strategy": ["new", "canary", "blue_green", "all_at_once", "none"],
	"reason": ["manual", "drift", "performance", "schedule", "data"],
	"change": ["create", "update", "delete", "none"],
	"system": ["kubernetes", "registry", "git"],
	"gitops": ["none", "reverted", "kept", "paused", "committed"],
	"forecast": ["now", "queued", "never"],
	"principal": ["human", "agent", "service"],
}

# Device names stay ASCII, since engines lower other letters differently. Times are RFC 3339 in UTC, upper case, on days
# that exist and without leap seconds: engines differ on all others.
patterns := {
	"device": `^[A-Za-z0-9._/ -]*$`,
	"day": `^20[0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`,
	"time": `^20([0-9][0-9]-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|10|12)-31)|([02468][048]|[13579][26])-02-29)T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?Z$`,
}

# One body, the most frequent kinds first: the contract is the larger part of the work of a decision.
valid(kind, x) if {
	kind == "name"
	is_string(x)
	x != ""
} else := true if {
	kind in {"text", "text?"}
	is_string(x)
} else := true if {
	kind in {"count", "count?"}
	whole(x)
	x >= 0
} else := true if {
	kind in {"flag", "flag?"}
	is_boolean(x)
} else := true if {
	kind == "names"
	is_array(x)
	every name in x {
		is_string(name)
		name != ""
	}
} else := true if {
	x == null
	kind in {"text?", "count?", "int?", "flag?"}
} else := true if {
	kind == "array"
	is_array(x)
} else := true if {
	kind == "percent"
	whole(x)
	x >= 0
	x <= 100
} else := true if {
	kind in {"int", "int?"}
	whole(x)
} else := true if {
	kind == "positive"
	whole(x)
	x > 0
} else := true if {
	kind == "counts"
	is_object(x)
	every number in x {
		whole(number)
		number >= 0
	}
} else := true if {
	x in words[kind]
} else := true if {
	is_string(x)
	regex.match(patterns[kind], x)
}

whole(x) if {
	is_number(x)
	floor(x) == x
}

# Stands for a field that is not there, which differs from null where null is a value; no JSON is a set.
absent := {"absent"}

# The faults of one object. A root that is no object lacks everything.
faults(root, prefix, spec) := {fault |
	some entry in spec
	path := entry[0]
	kind := entry[1]
	value := object.get(root, path, absent)
	not valid(kind, value)
	fault := {"path": concat(".", array.concat([prefix], path)), "kind": amiss(value)}
} if {
	is_object(root)
}

faults(root, prefix, _) := {{"path": prefix, "kind": amiss(root)}} if {
	not is_object(root)
}

# The faults of every element of a list.
each(rows, prefix, spec) := {fault |
	some row in rows
	some fault in faults(row, prefix, spec)
} if {
	is_array(rows)
}

each(rows, prefix, _) := {{"path": prefix, "kind": amiss(rows)}} if {
	not is_array(rows)
}

amiss(value) := "missing" if value in [null, absent]

amiss(value) := "mistyped" if not value in [null, absent]
