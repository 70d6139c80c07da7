# Steering what runs already: cancel, pause, resume, promote a canary, roll back.
package aiplatform.control_operation

import data.aiplatform.lib.say

# To stop or to undo is never held up; what lets traffic or work go on is judged like the change it continues.
stops := input.action in {"cancel", "pause", "rollback"}

wrong contains fault if {
	not stops
	some fault in data.aiplatform.lib.contract.some_target
}

violations contains finding if some finding in data.aiplatform.lib.access.findings

violations contains finding if {
	not stops
	some finding in data.aiplatform.lib.calendar.findings
}

asks contains entry if some entry in data.aiplatform.lib.access.asks

asks contains entry if {
	not stops
	some entry in data.aiplatform.lib.calendar.asks
}

asks contains say.ask("production_change", "approver") if {
	data.aiplatform.lib.access.production
	not stops
	input.action != "resume"
}

asks contains say.ask("production_resume", "self") if {
	data.aiplatform.lib.access.production
	input.action == "resume"
}

warnings contains finding if some finding in data.aiplatform.lib.access.warnings

limits := {}
