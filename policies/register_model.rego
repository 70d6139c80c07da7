# Registering a model version with its evidence. Gaps are told here and refused where they matter: at the champion alias.
package aiplatform.register_model

wrong contains fault if some fault in data.aiplatform.lib.contract.model_group

violations contains finding if some finding in data.aiplatform.lib.access.findings

violations contains finding if some finding in data.aiplatform.lib.evidence.owner

violations contains finding if some finding in data.aiplatform.lib.evidence.pin

warnings contains finding if some finding in data.aiplatform.lib.evidence.proofs

asks contains entry if some entry in data.aiplatform.lib.access.asks

limits := {}
