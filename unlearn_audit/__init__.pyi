from unlearn_audit.audit.callback import AuditCallback as AuditCallback
from unlearn_audit.audit.prospects import Prospects as Prospects
from unlearn_audit.audit.session import audit as audit
from unlearn_audit.audit.session import plan as plan
from unlearn_audit.errors import AuditError as AuditError
from unlearn_audit.finished.handle import Audit as Audit
from unlearn_audit.finished.handle import load as load
from unlearn_audit.spec.policy import Policy as Policy
from unlearn_audit.spec.spec import AuditSpec as AuditSpec

__version__: str
__all__ = ["Audit", "AuditCallback", "AuditError", "AuditSpec", "Policy", "Prospects", "audit", "load", "plan"]
