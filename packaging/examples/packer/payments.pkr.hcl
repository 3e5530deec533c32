# An AMI whose root is made and sealed on a surrogate instance, and signed on the machine that runs Packer: neither the
# instance nor the image ever has the key.

variable "package" {
  type        = string
  description = "The file of sealborn's Debian package."
}

variable "pipeline" {
  type        = string
  description = "The npm build of sealborn with its node_modules, as a tar: what runs build and test on the instance."
}

variable "policy" {
  type        = string
  description = "The policy repository, as a tar with its .git, so that the release names its commit."
}

variable "key" {
  type        = string
  description = "The private key, on the machine that runs Packer; its .pub lies beside it."
}

variable "region" {
  type    = string
  default = "eu-central-1"
}

locals {
  share = "/mnt/image/usr/share/sealborn"
  stamp = formatdate("YYYYMMDDhhmmss", timestamp())
}

source "amazon-ebssurrogate" "payments" {
  region                  = var.region
  instance_type           = "m6i.large"
  ssh_username            = "admin"
  ami_name                = "payments-${local.stamp}"
  ami_virtualization_type = "hvm"
  ena_support             = true

  source_ami_filter {
    filters = {
      name                = "debian-12-amd64-*"
      virtualization-type = "hvm"
    }
    owners      = ["136693071363"]
    most_recent = true
  }

  # The volume that becomes the image. It is mounted on the instance and never booted before it is sealed.
  launch_block_device_mappings {
    device_name           = "/dev/sdf"
    volume_size           = 8
    volume_type           = "gp3"
    iops                  = 3000
    throughput            = 125
    delete_on_termination = true
  }
  ami_root_device {
    source_device_name    = "/dev/sdf"
    device_name           = "/dev/xvda"
    volume_size           = 8
    volume_type           = "gp3"
    delete_on_termination = true
  }
}

build {
  sources = ["source.amazon-ebssurrogate.payments"]

  provisioner "file" {
    sources     = [var.package, var.pipeline, var.policy, "${path.root}/make-root", "${var.key}.pub"]
    destination = "/tmp/"
  }

  # Makes the root on the volume and installs the package: everything that changes a file.
  provisioner "shell" {
    inline = ["sudo sh /tmp/make-root /dev/nvme1n1 /mnt/image /tmp/${basename(var.package)}"]
  }

  # Measures it. From here on nothing but the bundle is written.
  provisioner "shell" {
    inline = [
      "mkdir -p /tmp/pipeline /tmp/policy",
      "tar -xf /tmp/${basename(var.pipeline)} -C /tmp/pipeline",
      "tar -xf /tmp/${basename(var.policy)} -C /tmp/policy",
      "sudo mkdir -p ${local.share}",
      "sudo /tmp/pipeline/sealborn trust new ${local.share}/trust.yaml --environment production --key /tmp/${basename(var.key)}.pub",
      "/tmp/pipeline/sealborn test /tmp/policy --environment production",
      "sudo /tmp/pipeline/sealborn build /tmp/policy --root /mnt/image --environment production --out ${local.share}/bundle",
      "sudo cp -r ${local.share}/bundle /tmp/bundle && sudo chmod -R a+rX /tmp/bundle",
    ]
  }

  # Signs here, where the key is.
  provisioner "file" {
    direction   = "download"
    sources     = ["/tmp/bundle/release.dsse.json", "/tmp/bundle/policy.json", "/tmp/bundle/manifest.mtree"]
    destination = "bundle/"
  }
  provisioner "shell-local" {
    inline = ["sealborn sign bundle --key ${var.key}.key"]
  }
  provisioner "file" {
    source      = "bundle/release.dsse.json"
    generated   = true
    destination = "/tmp/release.dsse.json"
  }

  # Verifies as an instance will, and lets go of the volume.
  provisioner "shell" {
    inline = [
      "sudo cp /tmp/release.dsse.json ${local.share}/bundle/release.dsse.json",
      "sudo /tmp/pipeline/sealborn verify ${local.share}/bundle --trust ${local.share}/trust.yaml --root /mnt/image",
      "sudo umount /mnt/image",
    ]
  }
}
