# What rules say: a finding breaks the plan (or warns), an ask demands that somebody agrees. Texts are built elsewhere.
package aiplatform.lib.say

finding(code, severity, details) := {"code": code, "severity": severity, "msg": "", "details": details}

# level "approver": somebody with the approver role; level "self": the requester in person will do as well.
ask(code, level) := {"code": code, "level": level}
