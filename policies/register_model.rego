# Registering a model version with its evidence. Gaps are told here and refused where they matter: at the champion alias.
package aiplatform.register_model

import data.aiplatform.lib.access
import data.aiplatform.lib.contract
import data.aiplatform.lib.evidence

wrong contains fault if some fault in contract.model_group

violations contains finding if some finding in access.findings

violations contains finding if some finding in evidence.owner

violations contains finding if some finding in evidence.pin

warnings contains finding if some finding in evidence.proofs

asks contains entry if some entry in access.asks

limits := {}
