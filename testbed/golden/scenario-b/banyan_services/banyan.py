"""Services of topology scenario-b for CORE 9.1 and newer.

Each writes one small file into its node and runs it: the work is done by start/NODE.sh of the export.
"""

from pathlib import Path

from core.services.base import CoreService, ServiceMode

EXPORT = Path(__file__).resolve().parent.parent


class Common:
    """What all have in common. No CoreService itself, or CORE would take it for a service without a name."""

    group = "Banyan"
    directories = []
    default_configs = []
    modes = {}
    validation_period = 0.5
    validation_timer = 60
    word = ""

    def data(self):
        return {"export": str(EXPORT)}

    def get_text_template(self, name):
        words = dict(zip(self.files, (self.word, f"check {self.word}", f"stop {self.word}")))
        return "exec bash '${export}/start/${node.name}.sh' " + words[name]


class BanyanRoutes(Common, CoreService):
    """Static routes to every subnet, as the exporter computed them. On 10 nodes."""

    name = "BanyanRoutes"
    files = ["BanyanRoutes.sh", "BanyanRoutes-check.sh", "BanyanRoutes-stop.sh"]
    executables = ["bash", "ip"]
    dependencies = []
    startup = ["bash BanyanRoutes.sh"]
    validate = ["bash BanyanRoutes-check.sh"]
    shutdown = ["bash BanyanRoutes-stop.sh"]
    validation_mode = ServiceMode.BLOCKING
    word = "routes"


class BanyanControl(Common, CoreService):
    """The control plane and its page. On 1 nodes."""

    name = "BanyanControl"
    files = ["BanyanControl.sh", "BanyanControl-check.sh", "BanyanControl-stop.sh"]
    executables = ["bash"]
    dependencies = ["BanyanRoutes"]
    startup = ["bash BanyanControl.sh"]
    validate = ["bash BanyanControl-check.sh"]
    shutdown = ["bash BanyanControl-stop.sh"]
    validation_mode = ServiceMode.NON_BLOCKING
    word = "run"


class BanyanContentServer(Common, CoreService):
    """A content server. On 2 nodes."""

    name = "BanyanContentServer"
    files = ["BanyanContentServer.sh", "BanyanContentServer-check.sh", "BanyanContentServer-stop.sh"]
    executables = ["bash"]
    dependencies = ["BanyanRoutes"]
    startup = ["bash BanyanContentServer.sh"]
    validate = ["bash BanyanContentServer-check.sh"]
    shutdown = ["bash BanyanContentServer-stop.sh"]
    validation_mode = ServiceMode.NON_BLOCKING
    word = "run"


class BanyanRelay(Common, CoreService):
    """A root, relay or edge. On 5 nodes."""

    name = "BanyanRelay"
    files = ["BanyanRelay.sh", "BanyanRelay-check.sh", "BanyanRelay-stop.sh"]
    executables = ["bash"]
    dependencies = ["BanyanRoutes"]
    startup = ["bash BanyanRelay.sh"]
    validate = ["bash BanyanRelay-check.sh"]
    shutdown = ["bash BanyanRelay-stop.sh"]
    validation_mode = ServiceMode.NON_BLOCKING
    word = "run"


class BanyanViewer(Common, CoreService):
    """Plays what the node watches and counts what arrives. On 2 nodes."""

    name = "BanyanViewer"
    files = ["BanyanViewer.sh", "BanyanViewer-check.sh", "BanyanViewer-stop.sh"]
    executables = ["bash"]
    dependencies = ["BanyanRoutes"]
    startup = ["bash BanyanViewer.sh"]
    validate = ["bash BanyanViewer-check.sh"]
    shutdown = ["bash BanyanViewer-stop.sh"]
    validation_mode = ServiceMode.NON_BLOCKING
    word = "view"


class BanyanCapture(Common, CoreService):
    """Packets of every interface of the node, into run/captures. On no node by default."""

    name = "BanyanCapture"
    files = ["BanyanCapture.sh", "BanyanCapture-check.sh", "BanyanCapture-stop.sh"]
    executables = ["bash", "tcpdump"]
    dependencies = ["BanyanRoutes"]
    startup = ["bash BanyanCapture.sh"]
    validate = ["bash BanyanCapture-check.sh"]
    shutdown = ["bash BanyanCapture-stop.sh"]
    validation_mode = ServiceMode.NON_BLOCKING
    word = "capture"
