# The limits of data.json by group. A group that is missing reads as empty; lib/limits.rego then denies everything.
package aiplatform.lib.config

default teams := {}

teams := data.aiplatform.teams if is_object(data.aiplatform.teams)

default enforcement := {}

enforcement := data.aiplatform.enforcement if is_object(data.aiplatform.enforcement)

default access := {}

access := data.aiplatform.access if is_object(data.aiplatform.access)

default evidence := {}

evidence := data.aiplatform.evidence if is_object(data.aiplatform.evidence)

default rollout := {}

rollout := data.aiplatform.rollout if is_object(data.aiplatform.rollout)

default analysis := {}

analysis := rollout.analysis if is_object(rollout.analysis)

default compute := {}

compute := data.aiplatform.compute if is_object(data.aiplatform.compute)

default fleet := {}

fleet := data.aiplatform.fleet if is_object(data.aiplatform.fleet)

default retraining := {}

retraining := data.aiplatform.retraining if is_object(data.aiplatform.retraining)

default approvals := {}

approvals := data.aiplatform.approvals if is_object(data.aiplatform.approvals)

default calendar := {}

calendar := data.aiplatform.calendar if is_object(data.aiplatform.calendar)

default revision := ""

revision := data.aiplatform.revision if is_string(data.aiplatform.revision)
