/* SPDX-License-Identifier: Apache-2.0 */
/* The classes of the fixed objects, one a file. */
#pragma once

#include "hostd/api/mo.h"

extern const struct mo_class service_instance_class, session_manager_class, folder_class,
    datacenter_class, compute_resource_class, host_system_class, task_manager_class,
    authorization_manager_class, local_account_manager_class, user_directory_class,
    search_index_class, option_manager_class, license_manager_class,
    license_assignment_manager_class, file_manager_class, virtual_disk_manager_class,
    ovf_manager_class, environment_browser_class, event_manager_class, perf_manager_class,
    host_network_system_class, host_datastore_system_class, host_storage_system_class,
    host_autostart_manager_class, diagnostic_manager_class, datastore_browser_class,
    host_date_time_system_class, host_service_system_class, host_firewall_system_class,
    host_virtual_nic_manager_class, host_access_manager_class, host_health_status_system_class,
    host_image_config_manager_class, host_power_system_class, host_vsan_system_class,
    service_manager_class, host_certificate_manager_class, managed_method_executer_class,
    dynamic_type_manager_class, host_cpu_scheduler_class, host_memory_class,
    host_kernel_module_class, host_snmp_class, host_authentication_class,
    host_local_authentication_class, host_directory_class, host_passthrough_class,
    host_graphics_class, host_cache_class, host_vmotion_class, host_diagnostic_class,
    host_boot_device_class, host_iscsi_class, localization_manager_class, crypto_manager_class,
    vstorage_object_manager_class, storage_resource_manager_class, dvs_manager_class,
    guest_auth_manager_class, guest_file_manager_class, guest_process_manager_class,
    guest_registry_manager_class, guest_alias_manager_class, datastore_namespace_manager_class,
    guest_operations_manager_class;
