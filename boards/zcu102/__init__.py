"""The ZCU102: block design, device tree and deploy archive, each made from one `SoC`."""
