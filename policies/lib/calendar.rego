# When production may change: weekly windows in UTC, and freezes by date.
package aiplatform.lib.calendar

import data.aiplatform.lib.say

now := time.parse_rfc3339_ns(input.time)

day := substring(input.time, 0, 10)

weekday := time.weekday(now)

hour := time.clock(now)[0]

in_window if {
	some window in data.aiplatform.lib.config.calendar.windows
	weekday in window.weekdays
	hour >= window.from_hour
	hour < window.to_hour
}

# The days of a freeze are whole days, the first and the last included.
frozen(environments) := {freeze.name |
	some freeze in data.aiplatform.lib.config.calendar.freezes
	day >= freeze.from
	day <= freeze.to
	some environment in freeze.environments
	environment in environments
}

findings contains say.finding("change_freeze", "high", {"freeze": name, "date": day}) if {
	some name in frozen(data.aiplatform.lib.access.environments)
}

asks contains say.ask("outside_change_window", "approver") if {
	data.aiplatform.lib.access.production
	not in_window
}
